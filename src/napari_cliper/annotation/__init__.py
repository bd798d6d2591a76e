"""What a person does with labels before they count. Knows nothing of napari or Qt."""
