"""How a page leaves: one file or folder a channel, each with `build(settings, secrets)`."""
