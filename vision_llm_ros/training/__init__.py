"""Data sets, augmentation, losses, schedules. Uses `model`."""
