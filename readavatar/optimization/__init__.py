"""Parts of a training step that the stages share: adversarial losses, weighted sums, EMA and learning rates."""
