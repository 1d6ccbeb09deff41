"""Is silence evidence of a plateau?"""
