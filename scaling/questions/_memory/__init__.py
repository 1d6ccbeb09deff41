"""Memorised, or generalised?"""
