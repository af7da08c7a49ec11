"""The networks that ship with the package: one safetensors file each, its model card inside."""
