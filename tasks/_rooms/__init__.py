"""The generator of `rooms`: furnished interiors, drawn by a ray caster with exact labels."""
