"""Does training on one domain help another, and how does that change with size?"""
