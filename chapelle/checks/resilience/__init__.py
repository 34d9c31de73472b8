"""What fails if this fails: the graph of power and network, losses simulated on it, and rules."""
