"""What becomes of models that read what models wrote, and what such text is worth."""
