"""Does the record of capability rise in one line, or bend?"""
