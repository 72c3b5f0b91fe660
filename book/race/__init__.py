"""Races: networks side by side on the same data, with their settings, pictures, scenes and reasons."""
