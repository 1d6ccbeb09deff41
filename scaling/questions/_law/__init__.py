"""Which law do these runs follow, and where would its rivals part?"""
