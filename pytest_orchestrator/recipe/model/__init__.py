"""Recipe model: frozen Structs whose fields are the keys of the language."""
