"""Has the loss come to a plateau, or does the power law go on?"""
