"""What bare metal becomes: pure functions from the model to orders, without their secrets."""
