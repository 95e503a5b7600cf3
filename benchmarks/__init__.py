"""What tillstream reaches, measured side by side with a floor and with plain services: `make bench`."""
