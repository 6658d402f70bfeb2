"""A small VM agent for this machine: installs and drives an extension package as Azure's agent does."""
