"""Whether preferences carry over to domains that none of them was about."""
