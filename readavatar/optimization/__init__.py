"""What a training step of any stage is made of: adversarial losses, a weighted sum, EMA, learning rates."""
