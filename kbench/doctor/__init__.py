"""What does this machine have, and what does it lack?"""
