"""Would a rule have called plateaus that were none?"""
