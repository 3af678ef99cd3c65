"""Training of `phishing`, `malicious-url` and `malicious-download`: one recipe, three models."""
