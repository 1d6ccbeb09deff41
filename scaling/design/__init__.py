"""Which run next: what a budget of compute buys, which blend of domains, and the study that spends it best."""
