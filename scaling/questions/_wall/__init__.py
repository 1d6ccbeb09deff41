"""When is the data wall, and what moves it?"""
