"""Feature sets to beat: ImageNet weights as they are, an untrained network, colour."""
