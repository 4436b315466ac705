"""The store: durable calls, inputs, instances, apps. `contract` is the seam, `sqlite` the embedded store."""
