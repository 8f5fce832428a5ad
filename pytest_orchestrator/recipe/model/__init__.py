"""Model of a recipe: frozen Structs whose fields are the keys of the language."""
