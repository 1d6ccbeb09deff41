"""Which run next: what a budget of compute buys, and the study that spends it best."""
