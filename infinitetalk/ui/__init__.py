"""The studio page. Gradio lives here and nowhere else; nothing here touches a tensor."""
