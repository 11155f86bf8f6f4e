"""What workflows do: definitions, the builder, the demonstration catalog, and files that hold scripts."""
