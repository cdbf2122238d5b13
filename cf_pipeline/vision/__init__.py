"""From a cover to its place in latent space: covers, looks, networks, training, embedding."""
