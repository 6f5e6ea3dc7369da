"""What people do about the goods: rules of prices, products, media, categories, groups, stock."""
