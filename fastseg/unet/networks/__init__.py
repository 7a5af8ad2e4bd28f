"""The networks by name: three published architectures, file-compatible, and one for new work."""
