"""Programs written for Modal: `import modal` is Freehold, under the names and in the modules that they know."""
