"""What keeps one slow or broken dependency from taking the service with it."""
