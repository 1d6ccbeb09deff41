"""How fragile is a law?"""
