"""Documents of others (block lists, schedules, plans, pictures), read where they can do no harm: see `sandbox`.

One file a form, found by its name, with `read(body, bounds, **options)`, which yields what JSON can hold. Only the child runs them.
"""
