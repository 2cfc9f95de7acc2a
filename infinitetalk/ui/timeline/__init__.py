"""The keyframe timeline: `state` says what it shows, `component` puts it on the page, `timeline.js` draws it."""
