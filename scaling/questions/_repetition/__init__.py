"""What is a repeated token worth, and when does it hurt?"""
