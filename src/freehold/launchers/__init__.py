"""What starts and stops instances: the contract, and one package a way to do it."""
