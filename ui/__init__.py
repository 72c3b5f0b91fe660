"""What the pages share: navigation, addresses and the live component."""
