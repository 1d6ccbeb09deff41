"""What does the next decade of compute buy?"""
