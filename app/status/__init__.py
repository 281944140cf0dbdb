"""The page that shows people how the service is."""
