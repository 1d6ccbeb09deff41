"""Is what is seen more often memorised more?"""
