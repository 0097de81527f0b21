"""Where posts come from: one file a platform, each with `build(settings, secrets)`."""
