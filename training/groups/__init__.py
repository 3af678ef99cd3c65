"""What peer groups are compared with. Nothing here is trained, and nothing is shipped."""
