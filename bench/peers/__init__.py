"""The environment of the implementations that fastseg is compared with: requirements and entry points."""
