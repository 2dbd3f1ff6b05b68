"""Whatever is sealed with the master key, brought to the newest one."""
