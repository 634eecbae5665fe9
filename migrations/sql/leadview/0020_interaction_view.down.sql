DELETE FROM counter WHERE name = 'fill interaction.updated';
DROP TABLE interaction_view;
