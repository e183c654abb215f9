"""Finding flows in files and modules, and starting them in processes of their own."""
