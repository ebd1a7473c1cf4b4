"""What Amazon ECR registries really cost, why, and what a change of policy would save."""

__version__ = "0.1.0"
